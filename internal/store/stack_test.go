package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

func TestOneStackAtMostIsInForce(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		stack := func(name, image string, at time.Time) platform.Stack {
			return platform.Stack{Name: name, Image: image, Source: "debian", System: "Debian", Size: 5 << 30, Owner: "ada", Created: at, Updated: at}
		}
		inForce := func() *platform.Stack {
			return read(t, s, func(tx *store.Tx) (*platform.Stack, error) { return tx.StackInForce() })
		}
		same(t, inForce(), nil)
		later := moment.Add(time.Hour)
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.PutStack(stack("old", "stack@1", moment)), tx.PutStack(stack("new", "stack@2", moment)), tx.UseStack("old"), tx.UseStack("new"),
				tx.PutStack(stack("new", "stack@3", later)))
		})
		want := stack("new", "stack@3", later)
		want.Created, want.InForce = moment, true
		same(t, inForce(), &want)
		same(t, read(t, s, func(tx *store.Tx) ([]platform.Stack, error) { return tx.Stacks() }), []platform.Stack{want, stack("old", "stack@1", moment)})
		wantNotFound(t, failed(t, s, func(tx *store.Tx) error { return tx.UseStack("none such") }), "Stack")
		same(t, inForce(), &want)
		write(t, s, func(tx *store.Tx) error { return errors.Join(tx.UseStack(""), tx.RemoveStack("old")) })
		same(t, inForce(), nil)
		wantNotFound(t, failed(t, s, func(tx *store.Tx) error { return tx.RemoveStack("old") }), "Stack")
	})
}
