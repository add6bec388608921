"""What the console does to an election: which actions there are, what is asked before one, its
course, and the desk that does it. The desk alone reads and writes; all the rest is pure.
"""
