package main

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"

	"github.com/slipway-paas/slipway/internal/server"
)

// profiles answers Go's profiles (net/http/pprof) for whoever may open the
// state directory's sockets: root, or the user who runs the platform. They show
// stacks and allocations, never what a request held.
//
//	curl --unix-socket STATE/run/serve.pprof http://debug/debug/pprof/goroutine?debug=1
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// serveProfiles opens the socket for a node, which has no other door of ours;
// close ends it. Without the socket a node serves all the same.
func serveProfiles(log *slog.Logger, socket string) (closeIt func()) {
	listener, err := listenUnix(socket)
	if err != nil {
		log.Warn("no profiles", "err", err)
		return func() {}
	}
	if socket, ok := listener.(*net.UnixListener); ok {
		socket.SetUnlinkOnClose(false) // the next node has one of the same name by then
	}
	web := server.NewHTTP(log, profiles())
	go func() { _ = web.Serve(listener) }() // until closeIt
	return func() { _ = web.Close() }       // nobody waits for a profile
}
