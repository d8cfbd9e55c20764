package llmtoken

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

func TestTheDefaultsAreValid(t *testing.T) {
	c := CreateConfig()
	c.Apiurl = "http://127.0.0.1:8000/api/report"
	if _, err := check(c); err != nil {
		t.Fatal(err)
	}
}

func TestAWrongValueIsRefusedByNameAndSaysWhatIsValid(t *testing.T) {
	t.Setenv("EMPTY", "")
	many := map[string]string{}
	for i := 0; i <= maxLabels; i++ {
		many[strings.Repeat("x", i+1)] = ""
	}
	cases := []struct {
		key, says string
		spoil     func(*Config)
	}{
		{"apiurl", "http://127.0.0.1:8000/api/report", func(c *Config) { c.Apiurl = "" }},
		{"apiurl", "not \"collector:8000\"", func(c *Config) { c.Apiurl = "collector:8000" }},
		{"apiurl", "not \"ftp://collector\"", func(c *Config) { c.Apiurl = "ftp://collector" }},
		{"apiurl", "http://", func(c *Config) { c.Apiurl = "http://%zz" }},
		{"token", "keep one", func(c *Config) { c.Token, c.TokenEnv = "t", "EMPTY" }},
		{"token", "no spaces", func(c *Config) { c.Token = "t\n" }},
		{"tokenEnv", "EMPTY is empty", func(c *Config) { c.TokenEnv = "EMPTY" }},
		{"paths", "must begin with /", func(c *Config) { c.Paths = []string{"/v1", "v2"} }},
		{"captureBodies", "full, none or never", func(c *Config) { c.CaptureBodies = "yes" }},
		{"maxRequestBody", "0 or more", func(c *Config) { c.MaxRequestBody = -1 }},
		{"maxResponseBody", "31457280", func(c *Config) { c.MaxResponseBody = 40 * mebibyte }},
		{"consumerHeader", "use consumerFromKey", func(c *Config) { c.ConsumerHeader = "x-api-key" }},
		{"consumerFromKey", "16 characters", func(c *Config) { c.ConsumerFromKey = "true" }},
		{"provider", "256", func(c *Config) { c.Provider = strings.Repeat("x", 257) }},
		{"labels", "at most 32", func(c *Config) { c.Labels = many }},
		{"labels", "256", func(c *Config) { c.Labels = map[string]string{"team": strings.Repeat("x", 257)} }},
		{"queueSize", "1 to 1000000", func(c *Config) { c.QueueSize = 0 }},
		{"queueBytes", "twice the two bodies", func(c *Config) { c.QueueBytes = mebibyte }},
		{"batchSize", "1 to 10000", func(c *Config) { c.BatchSize = 0 }},
		{"batchBytes", "1 to", func(c *Config) { c.BatchBytes = 64 * mebibyte }},
		{"flushInterval", "such as 200ms", func(c *Config) { c.FlushInterval = "1" }},
		{"flushInterval", "from 1ms to 1m0s", func(c *Config) { c.FlushInterval = "2m" }},
		{"timeout", "such as 200ms", func(c *Config) { c.Timeout = "soon" }},
		{"spoolDir", "an absolute path", func(c *Config) { c.SpoolDir = "spool" }},
		{"spoolDir", "may write to", func(c *Config) { c.SpoolDir = "/nowhere/llmtoken" }},
		{"spoolBytes", "batchBytes and 1 MiB", func(c *Config) { c.SpoolDir, c.SpoolBytes = "/tmp", mebibyte }},
		{"maxRequestBodies, spool", "unknown key", func(c *Config) {
			c.Unknown = map[string]interface{}{"spool": 1, "maxRequestBodies": 1}
		}},
	}
	for _, test := range cases {
		c := CreateConfig()
		c.Apiurl = "http://127.0.0.1:8000/api/report"
		test.spoil(c)
		_, err := New(context.Background(), http.NotFoundHandler(), c, "tap")
		if err == nil || !strings.Contains(err.Error(), test.key) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: want an error with %q, got %v", test.key, test.says, err)
		}
	}
}

func TestNeverCapturingBodiesSetsTheirLimitsToNothing(t *testing.T) {
	c := CreateConfig()
	c.Apiurl, c.CaptureBodies = "http://127.0.0.1:8000", "never"
	if _, err := check(c); err != nil || c.MaxRequestBody != 0 || c.MaxResponseBody != 0 {
		t.Fatalf("%v %+v", err, c)
	}
}

func TestLookingAtTheSpoolsFolderLeavesNothingInIt(t *testing.T) {
	c := CreateConfig()
	c.Apiurl, c.SpoolDir = "http://127.0.0.1:8000", t.TempDir()
	if _, err := check(c); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(c.SpoolDir); err != nil || len(left) != 0 {
		t.Errorf("%v %v", left, err)
	}
}

func TestOnlyTheConfiguredPathsAreTapped(t *testing.T) {
	c := CreateConfig()
	c.Apiurl, c.Paths = "http://127.0.0.1:1", []string{"/v1/", "/model/"}
	tapped := map[string]bool{}
	next := http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		_, tapped[req.URL.Path] = rw.(*exchange)
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	handler, err := New(ctx, next, c, "tap")
	if err != nil {
		t.Fatal(err)
	}
	handler.(*selector).tapped.(*Middleware).sender = idle(shipping{})
	for path, want := range map[string]bool{"/v1/messages": true, "/model/a": true, "/v2/messages": false, "/": false} {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
		if tapped[path] != want {
			t.Errorf("%s: %t", path, tapped[path])
		}
	}
}
