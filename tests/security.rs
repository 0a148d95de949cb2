//! What a hostile client, an ordinary account that is greedy, or a broken peer may not do: one file for each
//! kind of attack. Each test asserts the last value that is accepted and the first that is refused.
