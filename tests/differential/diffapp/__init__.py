"""The application that the differential tests run under Tornado and under tornadoc.

Written against ``tornado`` alone; everything it answers or logs is the same in every run.
"""
