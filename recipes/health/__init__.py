"""How a variant's inputs are: what upstream did since they were locked, who still serves them, and a grade.

Facts are found at the edges (`sources`, `packages`), graded by one table of rules (`grade`), kept by day
(`history`) and told (`telling`, `page`). Nothing here changes a lock or a spec.
"""
