package stacktest_test

import (
	"testing"

	"github.com/slipway-paas/slipway/internal/stacktest"
)

func TestTheImageHasOneLayer(t *testing.T) {
	layers, err := stacktest.Image(t).Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
}
