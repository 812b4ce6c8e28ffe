// Package h2 is HTTP/2 (RFC 9113) on both sides of a proxy. A Conn is handed a
// client's connection and hands on its requests, each with a goroutine of its
// own, as heads of h1 with a body to read and an answer to write; a Pool takes
// such requests to an address that speaks HTTP/2 in clear text, which is what
// gRPC servers do. Policy is not here: a Stream moves one exchange's bytes.
//
// One goroutine reads a connection. Who ends an answer writes it, with what has
// come together since the last write; what nobody ends, a goroutine of its own.
// What a peer can make us keep is bounded by Options, whatever it sends: unread
// bodies by the windows, what it makes us answer by the length of what waits to
// be written, and frames that cost it nothing by budgets that only useful work
// refills. A peer that goes over is told so by ENHANCE_YOUR_CALM.
//
// A connection that has nothing to do can be parked (park.go): nothing of it runs
// then, and Serve is called again when something comes or is to be said.
//
// Frames are read by x/net's Framer. They are written by hand, because the
// writer joins them in one buffer; so are header blocks, with HPACK's static
// table alone, which needs no state and no copy of any field.
package h2
