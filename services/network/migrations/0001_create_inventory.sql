-- migrate:up
create table network.assets (
    tenant_id text not null,
    -- The name in lower case, computed by the service: an index on lower(name) would not be used under
    -- row-level security, because lower() is not leakproof.
    name_key text collate "C" not null,
    short_key text collate "C" not null,
    name text not null,
    type text not null,
    site text not null,
    role text not null,
    model text not null,
    serial text not null,
    operating_system text not null,
    owner text not null,
    criticality text not null,
    notes text not null,
    primary key (tenant_id, name_key)
);
create index assets_by_short_key on network.assets (tenant_id, short_key);

create table network.asset_addresses (
    tenant_id text not null,
    name_key text collate "C" not null,
    position smallint not null,
    address inet not null,
    primary key (tenant_id, name_key, position),
    foreign key (tenant_id, name_key) references network.assets on delete cascade
);
create index asset_addresses_by_address on network.asset_addresses (tenant_id, address);

create table network.asset_macs (
    tenant_id text not null,
    name_key text collate "C" not null,
    position smallint not null,
    -- Not macaddr: its equality is not leakproof, so that under row-level security no index would serve it.
    mac_address text not null,
    primary key (tenant_id, name_key, position),
    foreign key (tenant_id, name_key) references network.assets on delete cascade
);
create index asset_macs_by_mac_address on network.asset_macs (tenant_id, mac_address);

create table network.prefixes (
    tenant_id text not null,
    prefix cidr not null,
    site text not null,
    vlan_id integer not null,
    vlan_name text not null,
    role text not null,
    gateway inet,
    description text not null,
    primary key (tenant_id, prefix)
);

alter table network.assets enable row level security;
alter table network.assets force row level security;
create policy assets_of_tenant on network.assets to dossier_network
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));

alter table network.asset_addresses enable row level security;
alter table network.asset_addresses force row level security;
create policy asset_addresses_of_tenant on network.asset_addresses to dossier_network
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));

alter table network.asset_macs enable row level security;
alter table network.asset_macs force row level security;
create policy asset_macs_of_tenant on network.asset_macs to dossier_network
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));

alter table network.prefixes enable row level security;
alter table network.prefixes force row level security;
create policy prefixes_of_tenant on network.prefixes to dossier_network
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));

grant select, insert, update, delete on network.assets, network.asset_addresses, network.asset_macs,
    network.prefixes to dossier_network;

-- migrate:down
drop table network.prefixes, network.asset_macs, network.asset_addresses, network.assets;
