package gitserver

import (
	"net/http"
	"testing"
)

func TestOnlyTheEdgeNamesAnothersAddress(t *testing.T) {
	for _, c := range []struct{ peer, named, want string }{
		{"@", "10.0.0.1, 198.51.100.1", "198.51.100.1"},
		{"@", "nonsense", "@"},
		{"127.0.0.1:1234", "198.51.100.1", "127.0.0.1"}, // an app, maybe
		{"[::1]:1234", "198.51.100.1", "::1"},
		{"192.0.2.1:1234", "198.51.100.1", "192.0.2.1"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": {c.named}}}
		if got := origin(r); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
