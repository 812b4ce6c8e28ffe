package store_test

import (
	"fmt"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// BenchmarkARelease is what a deploy writes: a config, a release, an event.
func BenchmarkARelease(b *testing.B) {
	s, err := store.Open(b.Context(), quiet(), b.TempDir()+"/slipway.db", ring)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	err = s.Write(b.Context(), func(tx *store.Tx) error {
		if err := tx.InsertUser(platform.User{Username: "ann"}, ""); err != nil {
			return err
		}
		return tx.InsertApp(platform.App{UUID: "1", ID: "blog", Owner: "ann"})
	})
	if err != nil {
		b.Fatal(err)
	}
	for n := 0; b.Loop(); n++ {
		if err := s.Write(b.Context(), func(tx *store.Tx) error { return release(tx, fmt.Sprint(n)) }); err != nil {
			b.Fatal(err)
		}
	}
}
