// Package acme gets certificates from an authority (RFC 8555), by certmagic: it
// is handed the names that want one, keeps accounts, keys and chains in the
// store, proves the names with what it hands to the routers, and hands them the
// certificates. It renews them in time (RFC 9773), tries again what failed after
// growing pauses, and says why. All of it may be done by several processes on one
// store.
package acme
