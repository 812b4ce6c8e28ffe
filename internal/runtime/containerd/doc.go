// Package containerd runs images as containers: it is handed an instance's
// spec, pulls its image into containerd, and runs it with an address of its
// own on a bridge that the node's router reaches, and hands on the output
// file, the address and the exit.
//
// The containerd is the machine's or, where none answers, one of its own that
// outlives the node. Everything it must remember lies below Options.Dir:
//
//	network.json                   the subnet, for as long as it is free
//	containerd/                    root, state, socket and log of its own containerd
//	instances/<id>/record.json     what Adopt needs to find the instance again
//	instances/<id>/output          stdout and stderr, merged, until Forget
//	instances/<id>/<container>/    what one copy needs; gone when it is
//
// and in containerd in a namespace of its own: one image object per app and
// digest, one container and one snapshot per copy.
package containerd
