"""Which channels of a graph must stay or go together, and the graph without some of them.

Every value gets an array of channel numbers that broadcasts to its shape. A layer with weights
makes new numbers for its outputs; operators that move elements are run on the numbers themselves;
operators that combine elements unite the numbers of what they combine. What ends up with one number
is one group: all of it is removed or none (the coupled parameters of Fang et al. 2023, "DepGraph:
Towards Any Structural Pruning", found by running the graph).
"""
