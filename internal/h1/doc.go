// Package h1 is HTTP/1.1 as bytes: it is handed what came off a connection,
// says where a head ends and what it means, and hands on the head to be sent
// to the other side. It reads and writes no connection, keeps no state but
// what its caller holds, and allocates nothing once its caller's values have
// grown. (RFC 9110, RFC 9112)
//
// It is strict where leniency lets two parsers disagree about where a message
// ends: what it refuses is an *Error with the status to answer and the clause
// it rests on, after which the connection is closed.
package h1
