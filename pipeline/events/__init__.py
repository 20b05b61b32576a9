"""A file lands, the right work runs once.

What arrives (SNS over HTTPS, SQS, by hand, a sweep) becomes an `Event`; the inbox stores it before anybody is told that
it was taken; rules turn it into orders; a consumer takes the orders that are due and does them, each once.
"""
