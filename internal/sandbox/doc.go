// Package sandbox runs one confined process on this machine: it is handed a
// description (arguments, environment, mounts, uid, limits), starts it with
// the strongest isolation the machine offers, and hands on a Confined that can
// be signalled, killed whole, found again after a restart, and whose exit code
// survives whoever started it.
//
// Where root and bubblewrap are there, a process gets its own uid, mount, pid,
// ipc and uts namespaces and a cgroup. Weaker machines get less, and Offer
// says so plainly with one cure a line.
package sandbox
