// Package process runs slug images as ordinary processes of this machine: it
// is handed an instance's spec, pulls and unpacks its image once, and runs the
// slug's launcher in a sandbox with a writable copy of /app that is thrown
// away at the end. It hands on the output file, the address and the exit.
//
// Everything it must remember lies below Options.Dir:
//
//	uids.json                      one uid an app, for ever
//	images/<app>/<digest>/         an unpacked image; image.json is written last
//	instances/<id>/record.json     what Adopt needs to find the instance again
//	instances/<id>/output          stdout and stderr, merged, until Forget
//	instances/<id>/{status,scratch,tmp}   gone when the instance is
package process
