package server_test

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (d *memoryDesk) Edge(_ context.Context, caller platform.Caller, id string) (platform.Edge, error) {
	app, err := d.of(caller, id, platform.RoleViewer)
	if err != nil {
		return platform.Edge{}, err
	}
	return app.edge.WithoutSecrets(), nil
}

func (d *memoryDesk) PatchEdge(_ context.Context, caller platform.Caller, id string, patch platform.EdgePatch) (platform.Edge, error) {
	app, err := d.of(caller, id, platform.RoleOperator)
	if err != nil {
		return platform.Edge{}, err
	}
	if err := patch.HashPasswords(); err != nil {
		return platform.Edge{}, err
	}
	after, err := app.edge.Patched(patch)
	switch {
	case err != nil:
		return platform.Edge{}, err
	case platform.Same(after, app.edge):
		return platform.Edge{}, platform.ErrConflict
	}
	app.edge = after
	return after.WithoutSecrets(), nil
}

func (d *memoryDesk) ResetEdge(_ context.Context, caller platform.Caller, id string) error {
	app, err := d.of(caller, id, platform.RoleOperator)
	if err == nil {
		app.edge = platform.Edge{}
	}
	return err
}

// fieldsOf are the JSON names of a type and of those below it.
func fieldsOf(t reflect.Type, at string, into map[string]string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return
	}
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		into[at+"."+name] = field.Type.Kind().String()
		fieldsOf(field.Type, at+"."+name, into)
	}
}

func TestTheDocumentHasEveryWordOfAnEdgeAndNoOther(t *testing.T) {
	described, known := map[string]string{}, map[string]string{}
	fieldsOf(reflect.TypeFor[api.Edge](), "", described)
	fieldsOf(reflect.TypeFor[platform.Edge](), "", known)
	for name := range known {
		if described[name] == "" {
			t.Errorf("%s is not described: add it to api.Edge", name)
		}
	}
	for name := range described {
		if known[name] == "" {
			t.Errorf("%s is no word of platform.Edge", name)
		}
	}
	if len(known) < 40 {
		t.Errorf("only %d words were compared", len(known))
	}
}
