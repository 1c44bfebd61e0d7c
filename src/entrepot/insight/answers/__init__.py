"""Measures as whoever asks gets them: plain figures for programs, and a chart of each for people."""
