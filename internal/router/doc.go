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
// The bytes themselves move behind one seam, carrier; everything else in the
// package does not know how.
package router
