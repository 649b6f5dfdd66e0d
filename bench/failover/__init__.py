"""`make bench-failover`: one of two SMS vendors dies, in four ways at three rates. Does its traffic go, and return?"""
