// Package h3 is the server's side of HTTP/3 (RFC 9114). A Server is handed a
// UDP socket and gives the connections that come over it; a Conn hands on its
// requests, each with a goroutine of its own, as heads of h1 with a body to read
// and an answer to write. Policy is not here: a Stream moves one exchange's bytes.
//
// QUIC, its cryptography and the frames of HTTP/3 are quic-go's. What is here is
// how its requests become heads that mean the same as over HTTP/2, what a client
// may make us keep, and how the packets of a connection find the process that
// holds its keys when another serves the same port: see Socket.
package h3
