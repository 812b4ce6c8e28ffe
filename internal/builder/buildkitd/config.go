// Package buildkitd is BuildKit as a child process of the platform that lives
// for one build: it is handed its configuration and one connection, answers
// BuildKit's API on it, and runs each step of a Dockerfile with runc, in a
// network and a control group of the build's own. It ends with the connection,
// and everything it started and mounted ends with it.
package buildkitd

import "net/netip"

// Config is what the child is told on its standard input, as JSON. It holds no
// secret: those come through a build's session, which ends with it.
type Config struct {
	// Root keeps the cache. It belongs to one child at a time.
	Root string
	// Binary is runc.
	Binary string
	// CacheBytes bounds what of the cache stays when a build is done.
	CacheBytes int64
	// FileBytes bounds a single file that a build writes.
	FileBytes int64
	// Processes bounds the processes of one step.
	Processes int64
	// Registries by host, or host:port.
	Registries map[string]Registry
	Network    Network
}

// Registry says how a registry is reached.
type Registry struct {
	// Mirrors are host or host:port, perhaps with a path, asked first.
	Mirrors []string `json:",omitempty"`
	// Only the mirrors are asked.
	Only bool `json:",omitempty"`
	// Plain is HTTP without TLS.
	Plain bool `json:",omitempty"`
	// Insecure is TLS whose certificate nobody checks, else HTTP without.
	Insecure bool `json:",omitempty"`
	// CAs are PEM files of authorities besides the machine's.
	CAs []string `json:",omitempty"`
}

// Network is where the child and the steps of its build live: a network
// namespace of their own. The interface eth0 is there already, and its other
// side, on the machine, vanishes with the namespace.
type Network struct {
	// Host and Step are the two addresses of a /31: the machine's and eth0's.
	Host, Step netip.Addr
	// Closed are networks nobody there can reach.
	Closed []netip.Prefix
	// DNS are name servers that can be reached from there. Empty: public ones.
	DNS []netip.Addr
}
