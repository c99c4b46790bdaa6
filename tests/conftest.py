"""No socket but loopback, no key of the developer's, and `mode`: each client test runs sync and async."""
