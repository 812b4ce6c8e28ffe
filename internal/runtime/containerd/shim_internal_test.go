package containerd

import (
	"fmt"
	"sync/atomic"
	"testing"
)

func TestShimsAreSharedUpToABoundAndCopiesOfAnAppAreSpread(t *testing.T) {
	r := &Runtime{shims: make(map[string]*shim)}
	sizes := make(map[string]int)
	for n := range perShim {
		sizes[r.joinShim(fmt.Sprint("app", n), fmt.Sprint("c", n))]++
	}
	if len(sizes) != 1 {
		t.Fatalf("%d containers are in %d shims, want one", perShim, len(sizes))
	}
	first := r.joinShim("other", "one more")
	second := r.joinShim("more", "two more")
	if sizes[first] > 0 || first != second {
		t.Errorf("what had no room went to %q and %q, want one new shim", first, second)
	}
	r.leaveShim(r.joinShim("app0", "copy"), "copy")
	for n := range perShim / 2 {
		for name := range sizes {
			r.leaveShim(name, fmt.Sprint("c", n+1)) // not that of app0
		}
	}
	if got := r.joinShim("app0", "another copy"); got != first {
		t.Errorf("a second copy of an app went to the shim of the first")
	}
}

func TestAShimIsNotLeftByItsLastMemberWhileAnotherJoins(t *testing.T) {
	r := &Runtime{shims: make(map[string]*shim)}
	name := r.joinShim("a", "old")
	made := func() error { return nil }
	if err := r.inShim(name, "old", made); err != nil {
		t.Fatal(err)
	}
	if other := r.joinShim("b", "new"); other != name {
		t.Fatalf("the second joined %q, want %q", other, name)
	}
	var joining atomic.Bool
	entered, removed := make(chan struct{}), make(chan struct{})
	go func() {
		<-entered
		_ = r.outOfShim(name, "old", func() error {
			if joining.Load() {
				t.Error("the last member was removed while another joined")
			}
			return nil
		})
		close(removed)
	}()
	_ = r.inShim(name, "new", func() error {
		joining.Store(true)
		close(entered)
		for range 1000 { // gives the other every chance
			select {
			case <-removed:
				return nil
			default:
			}
		}
		joining.Store(false)
		return nil
	})
	<-removed
}

func TestMembersThatAnotherOutlivesAreRemovedBesideEachOther(t *testing.T) {
	r := &Runtime{shims: make(map[string]*shim)}
	var name string
	for _, c := range []string{"a", "b", "stays"} {
		name = r.joinShim(c, c)
		_ = r.inShim(name, c, func() error { return nil })
	}
	first := make(chan struct{})
	_ = r.outOfShim(name, "a", func() error {
		go func() { _ = r.outOfShim(name, "b", func() error { close(first); return nil }) }()
		<-first // would never come were the lock not shared
		return nil
	})
}
