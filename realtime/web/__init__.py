"""Web interface: the server, its page in the browser, and the work behind it."""
