package node

import (
	"context"
	"testing"
)

func TestANodeWithoutRunsWaitsForNoneHoweverLateItIs(t *testing.T) {
	late, end := context.WithCancel(t.Context())
	end()
	for range 100 { // that nothing runs may be seen before or after that it is late
		if err := new(runs).wait(late); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRunsAreCutOffOnceItIsLate(t *testing.T) {
	var r runs
	if !r.begin(t.Context(), "order") {
		t.Fatal("it did not begin")
	}
	go func() {
		<-r.ctx.Done()
		r.live.Done()
	}()
	late, end := context.WithCancel(t.Context())
	end()
	if err := r.wait(late); err == nil {
		t.Error("nobody hears that a run was cut off")
	}
}
