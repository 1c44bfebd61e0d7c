"""Pictures of measures as finance people draw them: for paper, for grey, for eyes that do not tell red from green."""
