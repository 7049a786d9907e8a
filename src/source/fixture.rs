//! A source for tests of slots, visits and the breaker: it does what it is told, on the test's clock.
