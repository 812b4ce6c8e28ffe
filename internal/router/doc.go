// Package router leads each request to an instance of the app its host names.
// It is handed routes, certificates and the health of this machine's instances
// by the node; balance picks an instance, the router counts what is open to
// each, carries the request there and the answer back, and hands on what it
// counted: across a cutover, and of each request to access. It never asks the
// control plane anything: with its table set it serves alone.
//
// How nothing fails when instances change: a request enters an instance's
// turnstile before it is sent there, and Drain closes that turnstile before it
// looks at the count. So a request is either seen by Drain, which waits for
// it, or it is turned away and picks again from the current route.
//
// Where an instance cannot begin before another has ended, its app's route
// holds: while nobody is up, requests wait in the app's lobby, in order and
// within bounds.
//
// Who may come in, and where to, is decided in one place: see refusal. Hosts
// are claimed, so that one that passes from an app to another is at no moment
// nobody's: see claims. Nothing that a change of one app costs grows with the
// number of apps.
//
// A request's walk. A driver reads a head with h1 and hands it to the exchange
// (exchange.go), which decides and never waits: begin takes the head, first and
// next say a step, failed and waited say the step after it, back how an answer's
// head goes to the client, finish counts. The steps are done by whoever moves the
// bytes. For drivers whose goroutines may wait that is walk (walk.go), which knows
// a client (client.go) and a link (link.go) and no protocol:
//
//	client   inward (http1client.go)   stream (http2.go)   called (http3.go)
//	         handled (handler.go: net/http's)
//	link     outward (link.go)    multilink (multilink.go: HTTP/2)
//
//	run ─ takeBody ─ first ─▶ toSend ─ attempt ─ converse: send · head · relay
//	                     └──▶ toWait ─ await        └ upload: the body, beside it
//	                     └──▶ toAnswer, toCut
//
// The other driver is loop (loop.go): a thread that leads most of plain HTTP/1.1
// by epoll, does the same steps in inSocket.step, and hands a connection over to
// a goroutine as soon as a request of it would have to wait for anything but
// bytes (loophand.go), until it rests again. What walk does between steps it does in outSocket.more.
//
// What belongs where: what is decided once the app is known goes into next,
// before acquire; what is changed of the head to the instance, into onward; of
// the head to the client, into back; what changes the body on its way back is a
// sink before the client, set in relay after back. Lines are added to x.set.
//
// Bytes that wait have a buffer, connections that wait have none (wire.go), and
// those of TLS that are idle no goroutine either, whichever HTTP they speak
// (parking.go): crypto/tls gets their bytes record by record, so it holds none
// of them (records.go). No
// request sets a timer: watch (watch.go) looks at all of them now and then, and
// cuts off what is late and what nobody waits for any more.
package router
