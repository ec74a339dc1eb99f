"""The playground: a page of HTML, CSS and JavaScript, joined into one file."""
