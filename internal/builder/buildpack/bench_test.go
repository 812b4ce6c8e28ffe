package buildpack_test

import (
	"io"
	"testing"
)

// BenchmarkNothingToBuild is the whole way of a tree with only a Procfile,
// from its tar to the pushed image, when the registry has it already.
func BenchmarkNothingToBuild(b *testing.B) {
	s, r := ready(b, "hello-procfile")
	for b.Loop() {
		if _, err := s.Build(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGoUnchanged builds a Go program again with a warm cache.
func BenchmarkGoUnchanged(b *testing.B) {
	s, r := ready(b, "hello-go")
	for b.Loop() {
		if _, err := s.Build(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

func ready(b *testing.B, name string) (*street, request) {
	s := open(b, nil)
	r, _ := ask(b, example(b, name), nil)
	r.Output = io.Discard
	if _, err := s.Build(b.Context(), r); err != nil {
		b.Fatal(err)
	}
	return s, r
}
