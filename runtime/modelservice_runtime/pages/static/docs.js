// Swagger UI over this server's own description. Keys typed into it are kept in memory only, as it does by itself.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  tryItOutEnabled: true,
  validatorUrl: null,
  defaultModelsExpandDepth: 0,
  onComplete: () => {
    document.body.dataset.ready = "docs";
  },
});
