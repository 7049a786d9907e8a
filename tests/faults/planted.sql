-- What the owner of a database can put in the way of whoever logs in to it: for everything in the catalogue, something of the
-- same name that tells the server's log who ran it. Run as that owner; `in_schema` is where it goes.
SET search_path = pg_catalog;

CREATE SCHEMA IF NOT EXISTS :in_schema;
GRANT USAGE, CREATE ON SCHEMA :in_schema TO PUBLIC;

CREATE FUNCTION :in_schema.planted(what text) RETURNS bool LANGUAGE plpgsql
AS 'BEGIN RAISE LOG ''planted % ran as %'', what, current_user; RETURN true; END';

SELECT set_config('planted.in_schema', :'in_schema', false) AS done \gset
DO $do$
DECLARE
  here text := current_setting('planted.in_schema');
  this record;
  types oid[] := ARRAY(SELECT oid FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r'));
  body text;
BEGIN
  -- Functions: immutable, so that planning alone would run them where their arguments are constants.
  FOR this IN SELECT p.oid, proname, proretset, prorettype, pg_get_function_identity_arguments(p.oid) AS arguments,
                     ARRAY(SELECT format_type(t, NULL) FROM unnest(proargtypes) t) AS types
                FROM pg_proc p
               WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND proargtypes::oid[] <@ types AND provariadic = 0
  LOOP
    body := format('BEGIN PERFORM %s.planted(%L); RETURN%s; END', here, 'function ' || this.proname,
                   CASE WHEN this.proretset THEN '' ELSE ' NULL' END);
    EXECUTE format('CREATE FUNCTION %s.%I(%s) RETURNS %s %s IMMUTABLE LANGUAGE plpgsql AS %L', here, this.proname,
                   array_to_string(this.types, ', '), CASE WHEN this.proretset THEN 'SETOF' END,
                   CASE WHEN this.prorettype = ANY (types) THEN format_type(this.prorettype, NULL) ELSE 'record' END, body);
  END LOOP;
  -- Operators, and casts in disguise: the same for the right pairs of types that the catalogue has to convert first.
  FOR this IN SELECT oprname, l, r, min(result) AS result, row_number() OVER () AS nth
                FROM (SELECT oprname, format_type(oprleft, NULL) AS l, format_type(oprright, NULL) AS r, format_type(oprresult, NULL) AS result
                        FROM pg_operator WHERE oprleft = ANY (types) AND oprright = ANY (types) AND oprresult = ANY (types)
                       UNION ALL
                      SELECT o, l, r, 'boolean' FROM unnest(ARRAY['=', '<>', '<', '>', '<=', '>=', '~~']) o,
                             unnest(ARRAY['name', 'text', '"char"', 'oid', 'bigint', 'integer', 'smallint', 'regclass']) l,
                             unnest(ARRAY['name', 'text', '"char"', 'oid', 'bigint', 'integer', 'smallint', 'regclass']) r
                       UNION ALL
                      SELECT '||', l, r, 'text' FROM unnest(ARRAY['name', 'text', '"char"', 'integer']) l,
                             unnest(ARRAY['name', 'text', '"char"', 'integer']) r) o
               GROUP BY oprname, l, r
  LOOP
    EXECUTE format('CREATE FUNCTION %s.operator_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS %L', here, this.nth, this.l, this.r, this.result,
                   format('BEGIN PERFORM %s.planted(%L); RETURN NULL; END', here, format('operator %s(%s, %s)', this.oprname, this.l, this.r)));
    EXECUTE format('CREATE OPERATOR %s.%s (FUNCTION = %s.operator_%s, LEFTARG = %s, RIGHTARG = %s)', here, this.oprname, here, this.nth,
                   this.l, this.r);
  END LOOP;
  -- Tables and views.
  FOR this IN SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v') LOOP
    EXECUTE format('CREATE VIEW %s.%I AS SELECT 1::oid AS oid, %s.planted(%L) AS datname', here, this.relname, here, 'view ' || this.relname);
    EXECUTE format('GRANT SELECT ON %s.%I TO PUBLIC', here, this.relname);
  END LOOP;
  -- Types: a cast to one of these checks it.
  FOR this IN SELECT unnest(ARRAY['text', 'name', 'int8', 'int4', 'int2', 'float8', 'oid', 'regclass', 'numeric', 'timestamptz']) AS name LOOP
    EXECUTE format('CREATE DOMAIN %s.%I AS pg_catalog.%I CHECK (%s.planted(%L))', here, this.name, this.name, here, 'type ' || this.name);
  END LOOP;
  -- What extensions and `pgvigil export grants` install, with other arguments than theirs, which may fit better. (One with
  -- defaults for all would make the call ambiguous: it fails then, and runs nothing.)
  FOR this IN SELECT name, arguments
                FROM unnest(ARRAY['pg_stat_statements', 'pg_stat_statements_info', 'pgstattuple_approx', 'pg_buffercache_summary',
                                  'pg_buffercache_usage_counts', 'column_widths', 'sequence_values']) name,
                     unnest(ARRAY['oid', 'text', 'name', 'bigint', 'integer', 'VARIADIC boolean[]', 'VARIADIC oid[]']) arguments
  LOOP
    EXECUTE format('CREATE FUNCTION %s.%I(%s) RETURNS SETOF record LANGUAGE plpgsql AS %L', here, this.name, this.arguments,
                   format('BEGIN PERFORM %s.planted(%L); END', here, format('%s(%s)', this.name, this.arguments)));
  END LOOP;
END
$do$;
-- Aggregates, which polymorphism keeps few.
CREATE FUNCTION :in_schema.step(bigint, anyelement) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RAISE LOG ''planted aggregate ran as %'', current_user; RETURN 0; END';
SELECT format('CREATE AGGREGATE %s.%I(%s) (SFUNC = %s.step, STYPE = bigint, INITCOND = 0)', :'in_schema', name, type, :'in_schema')
  FROM unnest(ARRAY['sum', 'min', 'max', 'count', 'bool_or', 'bool_and']) name,
       unnest(ARRAY['bigint', 'integer', 'double precision', 'numeric', 'oid', 'text', 'name', 'boolean', 'timestamptz']) type \gexec
