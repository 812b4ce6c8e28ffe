package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

func TestAnEdgeComesBackFollowsItsAppAndGoesWithIt(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		edge := func(app string) platform.Edge {
			return read(t, s, func(tx *store.Tx) (platform.Edge, error) { return tx.Edge(app) })
		}
		same(t, edge("blog"), platform.Edge{})
		none := 0
		want := platform.Edge{
			Timeouts: platform.EdgeTimeouts{Answer: time.Second}, HSTS: &platform.HSTS{}, Log: platform.AccessLog{Sample: &none},
			Pages: map[string]string{"404": "<p>é"}, Auth: &platform.BasicAuth{Users: map[string]string{"bob": "a hash"}},
		}
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.PutEdge("blog", platform.Edge{Proxy: 1}, moment), tx.PutEdge("blog", want, moment))
		})
		same(t, edge("blog"), want)
		write(t, s, func(tx *store.Tx) error { return tx.RenameApp("blog", "journal") })
		same(t, edge("journal"), want)
		write(t, s, func(tx *store.Tx) error { return tx.DeleteApp("journal") })
		if err := s.Read(t.Context(), func(tx *store.Tx) error { _, err := tx.Edge("journal"); return err }); !errors.Is(err, platform.ErrNotFound) {
			t.Errorf("of an app that went: %v", err)
		}
		if err := failed(t, s, func(tx *store.Tx) error { return tx.PutEdge("journal", want, moment) }); err == nil {
			t.Error("an edge without an app")
		}
	})
}
