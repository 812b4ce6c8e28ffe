// Package credhelper has no credentials of Azure's registries: see tools/none.
package credhelper

import "errors"

// Helper has no credentials.
type Helper struct{}

// NewACRCredentialsHelper is called when lifecycle's packages start.
func NewACRCredentialsHelper() Helper { return Helper{} }

// Get has none.
func (Helper) Get(string) (name, secret string, err error) {
	return "", "", errors.New("no credentials of Azure's registries")
}
