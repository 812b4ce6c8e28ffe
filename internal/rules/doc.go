// Package rules is what a team asked of the edge for its app, compiled once per
// change, and what everybody gets without asking. It is handed the heads of
// requests and answers, the time and a visit, and says what to do with them:
// refuse, lead elsewhere, ask for a password, choose a process type, bound a
// body, add and take away fields, compress. It moves no bytes of its own and
// reads no clock; the one thing in it that takes long is Proofs.Prove.
//
// A request is judged in this order, the first that holds:
//
//	Denied         the client is in a network that is denied         403
//	               (the router's whitelist, maintenance and HTTPS)
//	Refuse         a redirect is for this host and path              301, 302, 307, 308
//	               the app asks for a password, and none is right    401, 429
//	               the body is longer than the app takes             413
//	Process        headers and cookies lead to a process type
//	               (the router's paths)
//
// A nil *Rules is that of an app whose team asked for nothing: all its methods
// do nothing, at no cost.
package rules
