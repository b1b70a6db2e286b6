"""What users may count on, tested from outside: the program in a process of its own, judged by what it leaves."""
