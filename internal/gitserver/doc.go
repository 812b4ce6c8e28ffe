// Package gitserver is the door for git: it is handed connections, over SSH
// and over smart HTTP, finds out who asks through its Auth, and lets git's own
// receive-pack and upload-pack speak with the client. Both doors share one
// receive path: the app's push lock is taken before anything is received, a
// pre-receive hook hands the pushed commit's tree to the Desk and shows the
// user what it says, and the push is accepted when the Desk is content. A
// client that goes away stops none of it.
package gitserver
