"""Pages of HTML, tables and charts: of a sweep, of a single run, of a data set."""

PAGE = '<meta name="generator" content="tfadvseg">'  # in every page, to know it by
