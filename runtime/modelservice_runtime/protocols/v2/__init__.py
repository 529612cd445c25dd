"""The open inference protocol, version 2: tensors in, tensors out, for every task.

Tasks are not known here either. The instance model that a task's row names tells the input tensors, one for each of
its fields; the kind that the task gives tells the output tensors. REST (JSON, with or without the extension for binary
data) and gRPC are two wire formats of the same tensors.
"""
