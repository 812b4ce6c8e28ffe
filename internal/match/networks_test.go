package match_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipway-paas/slipway/internal/match"
)

// TestNetworksAreThoseOfTheList compares the search with asking one after the other.
func TestNetworksAreThoseOfTheList(t *testing.T) {
	// Few distinct bytes, so that networks nest, touch and hit.
	octet := rapid.SampledFrom([]byte{0, 1, 127, 128, 255})
	addr := rapid.Custom(func(t *rapid.T) netip.Addr {
		b := []byte{octet.Draw(t, "a"), octet.Draw(t, "b"), octet.Draw(t, "c"), octet.Draw(t, "d")}
		if rapid.Bool().Draw(t, "v6") {
			b = slices.Concat([]byte{0x20, 1, 0xd, 0xb8}, b, make([]byte, 4), b)
		}
		a, _ := netip.AddrFromSlice(b)
		return a
	})
	rapid.Check(t, func(t *rapid.T) {
		var wish []string
		var list []netip.Prefix
		for range rapid.IntRange(1, 12).Draw(t, "entries") {
			a := addr.Draw(t, "network")
			p := netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits"))
			wish, list = append(wish, p.String()), append(list, p.Masked())
		}
		n := match.NetworksAfter(nil, wish)
		for range 20 {
			a := addr.Draw(t, "client")
			want := slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
			if got := n.Holds(a); got != want {
				t.Fatalf("%v among %v: %v, want %v", a, wish, got, want)
			}
		}
	})
}

func manyNetworks(n int) (wish []string) {
	random := rand.New(rand.NewPCG(1, 2))
	for range n {
		wish = append(wish, fmt.Sprintf("%d.%d.%d.0/24", random.IntN(200), random.IntN(256), random.IntN(256)))
	}
	return wish
}

func TestTheSameNetworksAreReadOnce(t *testing.T) {
	first := match.NetworksAfter(nil, manyNetworks(10))
	if match.NetworksAfter(first, manyNetworks(10)) != first {
		t.Error("they were read again")
	}
	if match.NetworksAfter(first, manyNetworks(11)) == first {
		t.Error("others were taken for the same")
	}
}

// BenchmarkNetworks is what the gate costs a request, and a change.
func BenchmarkNetworks(b *testing.B) {
	client := netip.MustParseAddr("201.1.2.3")
	for _, n := range []int{1, 100, 10_000} {
		wish := manyNetworks(n)
		read := match.NetworksAfter(nil, wish)
		b.Run(fmt.Sprintf("ask/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				read.Holds(client)
			}
		})
		b.Run(fmt.Sprintf("read/%d", n), func(b *testing.B) {
			for b.Loop() {
				match.NetworksAfter(nil, wish)
			}
		})
		b.Run(fmt.Sprintf("keep/%d", n), func(b *testing.B) {
			for b.Loop() {
				match.NetworksAfter(read, slices.Clone(wish))
			}
		})
	}
}
