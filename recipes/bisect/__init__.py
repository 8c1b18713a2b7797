"""Finding the commit of an input that breaks a build: the search, its log, the judge, the verdict."""
