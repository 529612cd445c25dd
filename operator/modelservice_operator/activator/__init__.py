"""Holds requests of ModelServices that have no pod, starts one, and passes the requests on when it answers.

It is a process of its own (`modelservice-operator activator`), because requests of users pass through it: it may scale
Deployments and see EndpointSlices, and nothing else.

A client reaches it as it reaches the model, by the service's own name and address: while no pod is ready, the operator
makes the Service lead to a port of the activator that stands for this one service. As soon as a pod has been ready for
some seconds the way is shut again, and every answer ends its connection, so that live traffic does not pass through.

    directory   which service a port stands for, and where its ready pods are, from EndpointSlices
    hall        who waits, in what order, for how long, and which pod is next
    alarm       starts a pod of a service that somebody waits for
    forwarding  one request to a pod and its answer back, both as streams
    server      from a connection to an answer, and the refusals
"""
