// Package router leads each request to an instance of the app its host names.
// It is handed routes, certificates and the health of this machine's instances
// by the node; it picks the least busy instance, counts what is open to each,
// carries the request there and the answer back, and hands on what it counted
// across a cutover. It never asks the control plane anything: with its table
// set it serves alone.
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
// The bytes themselves move behind one seam, carrier; everything else in the
// package does not know how. Today that is net/http, which reads some doubtful
// messages that a stricter parser would refuse: a length besides a chunked
// body (the length is dropped), folded headers (joined), lines that end in a
// bare LF, chunked bodies in HTTP/1.0 (taken as having no body), a Host header
// besides a target with a host (the target's counts, RFC 9112, 3.2.2). None is
// passed on as it came: the app gets a message written anew, with one length.
package router
