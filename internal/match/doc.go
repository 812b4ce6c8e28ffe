// Package match says whether a request meets what a team wrote down: a path, a
// host, a network, a header or a cookie. Each is compiled once from the team's
// words and then asked for every request, without allocating, in a time that
// is bounded whatever was written. It keeps no state and reads nothing but
// what it is handed.
package match
