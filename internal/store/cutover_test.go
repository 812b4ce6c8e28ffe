package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

func TestACutoverComesBackAsWritten(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		strategy := func() platform.Strategy {
			return read(t, s, func(tx *store.Tx) (platform.Strategy, error) { return tx.Strategy("blog") })
		}
		same(t, strategy(), platform.Strategy{})
		budget := 100
		want := platform.Strategy{
			Kind: platform.Staged, Steps: []int{100, 5000}, If: []platform.Condition{{Header: "A", Value: "*"}},
			Pause: time.Minute, ErrorBudget: &budget,
		}
		for range 2 {
			write(t, s, func(tx *store.Tx) error { return tx.PutStrategy("blog", want) })
		}
		same(t, strategy(), want)

		cutover := func() platform.Cutover {
			return read(t, s, func(tx *store.Tx) (platform.Cutover, error) { return tx.Cutover("blog") })
		}
		missing := func(what string, fn func(*store.Tx) error) {
			if err := failed(t, s, fn); !errors.Is(err, platform.ErrNotFound) {
				t.Errorf("%s: %v", what, err)
			}
		}
		missing("none is under way", func(tx *store.Tx) error { _, err := tx.Cutover("blog"); return err })
		missing("nothing to say of", func(tx *store.Tx) error { return tx.SayOfCutover("blog", platform.CutoverPromote, "bob") })
		row := platform.Cutover{App: "blog", Release: 3, From: 2, Strategy: want, Step: 1, Since: moment, Started: moment}
		write(t, s, func(tx *store.Tx) error { return tx.PutCutover(row) })
		same(t, cutover(), row)

		// What somebody said stays as the steps go on, and goes with the release.
		write(t, s, func(tx *store.Tx) error { return tx.SayOfCutover("blog", platform.CutoverPromote, "bob") })
		row.Step, row.Undone = 2, "why"
		row.Done = []platform.CutoverStep{{Name: "1 %", New: platform.SideCount{Requests: 3, Failed: 1, P99: time.Second}}}
		write(t, s, func(tx *store.Tx) error { return tx.PutCutover(row) })
		said := row
		said.Word, said.By = platform.CutoverPromote, "bob"
		same(t, cutover(), said)
		row.Release = 4
		write(t, s, func(tx *store.Tx) error { return tx.PutCutover(row) })
		same(t, cutover(), row)
		for range 2 {
			write(t, s, func(tx *store.Tx) error { return tx.DeleteCutover("blog") })
		}
		missing("it is over", func(tx *store.Tx) error { _, err := tx.Cutover("blog"); return err })
	})
}
