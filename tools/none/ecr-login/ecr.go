// Package ecr has no credentials of Amazon's registries: see tools/none.
package ecr

import (
	"errors"
	"io"
)

// Helper has no credentials.
type Helper struct{}

// NewECRHelper is called when lifecycle's packages start.
func NewECRHelper(...any) Helper { return Helper{} }

// WithLogger is an option of NewECRHelper.
func WithLogger(io.Writer) any { return nil }

// Get has none.
func (Helper) Get(string) (name, secret string, err error) {
	return "", "", errors.New("no credentials of Amazon's registries")
}
