// Package registry is the platform's own OCI registry: it is handed images and
// artifacts by the builder and by users, keeps them in a directory, and hands
// them to the nodes. Content goes through distribution's handler; what that one
// lacks is here: referrers, users and their rights, quotas, and a collection of
// garbage beside running pushes. (OCI distribution specification 1.1)
package registry
