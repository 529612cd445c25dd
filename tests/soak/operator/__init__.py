"""Services come, change and go for as long as you like, while leaders die: nothing is lost, left over or leaked.

    python -m tests.soak.operator                              # 60 minutes, 300 services
    python -m tests.soak.operator --minutes 10 --services 100

A control plane of its own with simulated nodes, and two replicas as the fault bench has them, whose watch streams are
cut now and then.
"""
