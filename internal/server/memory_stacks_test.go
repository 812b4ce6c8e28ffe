package server_test

import (
	"context"
	"fmt"
	"io"

	"github.com/slipway-paas/slipway/internal/platform"
)

// memoryStacks is a platform with one stack, made where it is asked for.
type memoryStacks struct{ stacks []platform.Stack }

func (m *memoryStacks) Stacks(_ context.Context, caller platform.Caller) ([]platform.Stack, error) {
	if caller.Scope.Bounded() {
		return nil, platform.ErrForbidden
	}
	return m.stacks, nil
}

func (m *memoryStacks) BuildStack(_ context.Context, caller platform.Caller, recipe platform.StackRecipe, use bool, out io.Writer) (platform.Stack, error) {
	if !caller.Admin {
		return platform.Stack{}, platform.ErrForbidden
	}
	if err := recipe.Valid(); err != nil {
		return platform.Stack{}, err
	}
	fmt.Fprint(out, "==> Unpacking\n==> Pac")
	fmt.Fprint(out, "king\n")
	if recipe.Suite == "broken" {
		return platform.Stack{}, &platform.UserError{Kind: platform.ErrInvalid, Message: "no such suite", Cure: "Name another."}
	}
	made := platform.Stack{Name: recipe.Name, Image: "stack@sha256:1", Source: "debian " + recipe.Suite, InForce: use, Owner: caller.User, Created: born, Updated: born}
	m.stacks = append(m.stacks, made)
	return made, nil
}

func (m *memoryStacks) UseStack(_ context.Context, caller platform.Caller, which, _ string) (platform.Stack, error) {
	if !caller.Admin {
		return platform.Stack{}, platform.ErrForbidden
	}
	for _, stack := range m.stacks {
		if stack.Name == which {
			return stack, nil
		}
	}
	return platform.Stack{}, &platform.NotFoundError{Kind: "Stack", ID: which}
}

func (m *memoryStacks) RemoveStack(_ context.Context, caller platform.Caller, name string) error {
	if !caller.Admin {
		return platform.ErrForbidden
	}
	return &platform.NotFoundError{Kind: "Stack", ID: name}
}

func (d *memoryDesk) Rebase(_ context.Context, caller platform.Caller, app string) (platform.Release, error) {
	if _, err := d.of(caller, app, platform.RoleDeployer); err != nil {
		return platform.Release{}, err
	}
	return platform.Release{}, platform.Invalid("", "%s was never deployed: there is nothing to rebase", app)
}

func (d *memoryDesk) SBOM(ctx context.Context, caller platform.Caller, app string, version int) ([]byte, error) {
	if _, err := d.Release(ctx, caller, app, version); err != nil {
		return nil, err
	}
	return []byte(`{"bomFormat":"CycloneDX"}`), nil
}

func (d *memoryDesk) Provenance(ctx context.Context, caller platform.Caller, app string, version int) ([]byte, error) {
	if _, err := d.Release(ctx, caller, app, version); err != nil {
		return nil, err
	}
	return nil, &platform.NotFoundError{Kind: "Document", ID: app}
}
