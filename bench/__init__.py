"""What does a call cost here, beside nginx alone and beside other gateways on the same machine?"""
